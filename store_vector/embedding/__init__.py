"""What is embedded, and when."""
