"""The recorded-drive format: writer, reader and replay."""
