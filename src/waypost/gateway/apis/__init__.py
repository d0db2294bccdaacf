"""The APIs by which requests come in, one file each."""
