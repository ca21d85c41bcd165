"""Figures for language models, over the Model Context Protocol: metrics of one person's scope, and never a row."""
