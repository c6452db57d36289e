"""What is in packaging/, compared with the program."""
