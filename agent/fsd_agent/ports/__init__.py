"""Small Protocols between the pipelines and the world; each states size, order and thread contract."""
