"""Purposes, notices, presentations and decisions."""
