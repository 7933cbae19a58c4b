"""Demos of the domains beside pictures of clothes: texts, ratings, prices, drawings, wrong labels."""
