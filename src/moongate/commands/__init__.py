"""What the operator can do from the command line beside serving. Each module is one command."""
