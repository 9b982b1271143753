"""Rooms for viewers with tastes: a linear bandit beside a context-free one, many requests at once, propensities."""

import numpy as np

from seedbed.bandits import Bandit, Linear, LinThompson, Thompson, TopTwo

world = np.random.default_rng(7)
rooms = [f"room-{i}" for i in range(20)]
tastes = world.normal(size=(20, 4)) / 2.0  # what a viewer's features are worth in each room
viewers = np.column_stack([np.ones(5_000), world.normal(size=(5_000, 3))])
minutes = 1.0 / (1.0 + np.exp(-(viewers @ tastes.T - 1.0)))  # probability of staying a minute

linear = Bandit(LinThompson(n_features=4, alpha=0.3), rooms, seed=7)
simple = Bandit(Thompson(), rooms, seed=7)
stayed = {"linear": 0.0, "context-free": 0.0}
for viewer, chances in zip(viewers, minutes, strict=True):
    luck = world.random()
    for name, bandit, context in (("linear", linear, viewer), ("context-free", simple, None)):
        room = bandit.select(context=context).arms[0]
        reward = float(luck < chances[rooms.index(room)])
        stayed[name] += reward
        bandit.update(room, reward, context=context)
print({name: total / len(viewers) for name, total in stayed.items()}, "best possible:", minutes.max(axis=1).mean())

# Fifty viewers at once, in one call; the log holds the exact chance of each choice.
decisions = linear.select_many(contexts=viewers[:50], k=3)
print("three rooms for the first viewer:", decisions[0].arms)
chances = linear.propensities(context=viewers[0])
print("chance of each room:", dict(zip(rooms, chances.round(3).tolist(), strict=True)))

# Which room is best for a given viewer? Top-two gives the leader's rival its turn, so that the answer comes soon.
finder = Bandit(TopTwo(model=Linear(n_features=4)), rooms, seed=7)
for _ in range(500):
    room = finder.select(context=viewers[0]).arms[0]
    finder.update(room, float(world.random() < minutes[0, rooms.index(room)]), context=viewers[0])
best = rooms[int(minutes[0].argmax())]
print("found:", rooms[int(finder.mean(context=viewers[0]).argmax())], "in truth:", best)
