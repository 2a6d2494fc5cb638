"""OpenAI chat completions, in both directions, with what Moonshot adds to them."""
