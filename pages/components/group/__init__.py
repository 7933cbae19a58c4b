"""What is shown of any group: members, words, columns, tags."""
