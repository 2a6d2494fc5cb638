"""Those who watch. They are told of requests when they are over, and nothing waits for them."""
