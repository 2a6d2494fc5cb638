"""The vocabulary: values, and the one grammar of replies. Imports nothing of ours."""
