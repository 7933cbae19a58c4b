"""What only the page about training examples needs: its questions, galleries, groups and removal."""
