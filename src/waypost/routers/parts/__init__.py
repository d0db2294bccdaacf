"""What routers are made of: each part is needed by several of them, or keeps one of them short."""
