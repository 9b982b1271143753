"""Ranking measures of one list, from their definitions."""

import math


def measures(ids, gain_of, k):
    """Precision, recall, hit and NDCG; None where not defined."""
    relevant = [id for id, gain in gain_of.items() if gain > 0]
    hits = sum(1 for id in ids[:k] if id in relevant)
    dcg = sum(gain_of.get(id, 0.0) / math.log2(place + 1) for place, id in enumerate(ids[:k], start=1))
    best = sorted(gain_of.values(), reverse=True)[:k]
    ideal = sum(gain / math.log2(place + 1) for place, gain in enumerate(best, start=1))
    recall = hits / len(relevant) if relevant else None
    return hits / k, recall, 1.0 if hits else 0.0, dcg / ideal if relevant else None


def gini(counts):
    """Mean absolute difference of all ordered pairs over twice the mean."""
    n, mean = len(counts), sum(counts) / len(counts)
    return sum(abs(x - y) for x in counts for y in counts) / (2.0 * n * n * mean)
