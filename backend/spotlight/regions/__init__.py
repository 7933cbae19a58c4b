"""The short list of regions: search, judge, choose, measure on what was kept aside."""
