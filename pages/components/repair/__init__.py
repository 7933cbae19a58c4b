"""What only the repair page needs: which group counts more, what that bought, words of failures."""
