"""What outlives the process: files in the home. Implements what others declare; only the composition root knows it."""
