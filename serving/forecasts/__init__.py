"""Forecasts of visits and money: made from what is published, kept before their outcome, and shown where they did well before."""
