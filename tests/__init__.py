"""Tests of Errorscope. A real package, so that no installed one called tests is taken for it."""
