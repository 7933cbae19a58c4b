"""What stands between the network and the pages: who may ask, who somebody is, what passes."""
