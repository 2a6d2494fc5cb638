"""What a model lacks, made up for: the request is rewritten on its way out, the reply on its way back."""
