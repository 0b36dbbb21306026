"""Published files: fetched, verified and unpacked, each whole or not at all."""
