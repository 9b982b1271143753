"""Sharing out a tick as it is defined: all draws, sorted, room by room."""


def serve(order, left, chunk, offered):
    """Give an offer to rooms in this order, up to `chunk` each; returns what each got."""
    got = [0] * len(left)
    for room in order:
        got[room] = min(left[room], chunk, offered)
        offered -= got[room]
    return got


def share_out(orders, room_for, available, chunk, sub_rounds):
    """orders: for each round a function that returns the rooms, the highest draw first."""
    left = [max(room, 0) for room in room_for]
    grants = [0] * len(left)
    for turn in range(sub_rounds + 1):
        if available <= 0 or sum(left) <= 0:
            break
        planned = turn < sub_rounds
        rounds_left = sub_rounds - turn
        offered = (available + rounds_left - 1) // rounds_left if planned else available
        for room, got in enumerate(serve(next(orders), left, chunk if planned else available, offered)):
            left[room] -= got
            grants[room] += got
            available -= got
    return grants


def by_score(scores, uids):
    """Rooms by score, the highest first, ties by the smaller uid."""
    return sorted(range(len(scores)), key=lambda room: (-scores[room], int(uids[room])))
