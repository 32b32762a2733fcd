"""Request batching, and queues for calls about the same thread."""
