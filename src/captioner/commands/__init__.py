"""The commands of `captioner`, one module each: `add(commands)` declares it."""
