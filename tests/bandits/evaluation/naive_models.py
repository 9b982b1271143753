"""Cross-fitted means of arms, row by row, from the definition."""


def arm_mean(row, action, rewards, positions, folds, strength, arm):
    """Shrunk mean of an arm over the rows of other folds at the row's position; None where there are none."""
    others = [i for i in range(len(action)) if folds[i] != folds[row] and positions[i] == positions[row]]
    if not others:
        everywhere = [i for i in range(len(action)) if folds[i] != folds[row]]
        return sum(rewards[i] for i in everywhere) / len(everywhere)
    common = sum(rewards[i] for i in others) / len(others)
    mine = [rewards[i] for i in others if action[i] == arm]
    if not mine and strength == 0:
        return common
    return (sum(mine) + strength * common) / (len(mine) + strength)


def strength(rows):
    """Variance within over variance between arms, by mean squares; None where no difference shows."""
    by_arm = {}
    for arm, reward in rows:
        by_arm.setdefault(arm, []).append(reward)
    n, k = len(rows), len(by_arm)
    if k < 2 or n <= k:
        return None
    common = sum(reward for _, reward in rows) / n
    means = {arm: sum(rewards) / len(rewards) for arm, rewards in by_arm.items()}
    square_between = sum(len(rewards) * (means[arm] - common) ** 2 for arm, rewards in by_arm.items()) / (k - 1)
    square_within = sum((reward - means[arm]) ** 2 for arm, rewards in by_arm.items() for reward in rewards) / (n - k)
    usual = (n - sum(len(rewards) ** 2 for rewards in by_arm.values()) / n) / (k - 1)
    between = (square_between - square_within) / usual
    return square_within / between if between > 1e-12 else None
