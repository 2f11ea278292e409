"""What runs programs, wherever that is."""
