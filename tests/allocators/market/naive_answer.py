"""What a room's exposures of one minute bring, in plain Python and scipy, written from the definitions."""

import math

from scipy.stats import binom, nbinom, norm, poisson

from seedbed.bandits._random import fold_in, uniform


def overdispersed(mean, dispersion, u):
    if mean == 0:
        return 0
    if dispersion == 1.0:
        return int(poisson.ppf(u, mean))
    return int(nbinom.ppf(u, mean / (dispersion - 1.0), 1.0 / dispersion))


def logistic(z):
    return 1.0 / (1.0 + math.exp(-z))


def answer(config, r, key, room, shown, row, state, cohort, is_new, hour):
    """Counts in the order of METRICS, without revenue; `row` and `state` are maps of names to numbers."""
    u = lambda lane: uniform(key, room, lane)  # noqa: E731
    own = dict(zip(("clicks", "negative", "comments", "follows", "gifts"), r.own[cohort], strict=True))
    mixed = dict(zip(("clicks", "negative", "comments", "follows", "gifts"), r.mixed[hour], strict=True))
    audience = row["audience"] * r.present[hour][cohort]
    found = config.newcomer_matched_share if is_new else config.matched_share
    matched = found * min(shown, audience * (1.0 - state["tired"]))
    w = matched / shown
    place = r.positions[int(u(5) * len(r.positions))]
    lit = state["highlight"] > 0
    logit = row["click"] + config.click_spread * state["drift"] + (config.highlight_click if lit else 0.0)
    p_matched = min(0.98, logistic(r.click_matched + logit) * place * own["clicks"])
    p_other = min(0.98, logistic(r.click_unmatched + logit) * place * mixed["clicks"])
    p_other *= (1.0 + (shown - matched) / (config.reach * audience)) ** -config.reach_decay
    p = w * p_matched + (1.0 - w) * p_other
    clicks = int(binom.ppf(u(0), shown, p))
    mine = w * p_matched / p
    longer = row["watch"] + config.watch_spread * state["drift"] + (config.highlight_watch if lit else 0.0)
    viewers = fold_in(key, 1)
    times = []
    for j in range(clicks):
        centre = r.watch_matched if uniform(viewers, room, 2 * j) < mine else r.watch_unmatched
        z = norm.isf(uniform(viewers, room, 2 * j + 1))
        times.append(min(math.exp(centre + longer + r.watch_sigma * z), config.watch_max))
    retained = sum(time >= 60.0 for time in times)
    mix = {name: mine * own[name] + (1.0 - mine) * mixed[name] for name in ("comments", "follows", "gifts")}
    talk = (config.highlight_talk if lit else 1.0) / r.talk
    harm = w * config.negative_matched * own["negative"] + (1.0 - w) * config.negative_unmatched * mixed["negative"]
    return [
        shown,
        clicks,
        retained,
        overdispersed(
            clicks * config.comments_per_click * row["comment"] * talk * mix["comments"],
            config.comment_dispersion,
            u(2),
        ),
        int(binom.ppf(u(3), retained, config.follows_per_retained * mix["follows"])),
        int(binom.ppf(u(1), shown, harm * row["negative"])),
        sum(min(time, 300.0) for time in times) / 300.0,
        sum(times) / 60.0,
        overdispersed(
            clicks * config.gifts_per_click * row["gift"] * talk * mix["gifts"], config.gift_dispersion, u(4)
        ),
    ]
