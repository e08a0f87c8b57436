"""The program that makes the text side of the embedded backbone."""
