"""Shared by remote backends: endpoints, HTTP clients, chat/completions, error responses."""
