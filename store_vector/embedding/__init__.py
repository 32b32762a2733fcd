"""Selection of the texts to embed, and calls of the embedding model."""
