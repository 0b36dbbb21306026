"""The library behind aac-workflow: automated audio captioning, from wav files to scores."""
