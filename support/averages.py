"""The weights of two networks that play against each other circle around the solution. Both functions here use that."""

from support.lazy import tf

DECAY = 0.999  # of the running average, at most: it covers a ninth of the iterations so far, and 1,000 at most


def update_average(average, network, iteration):
    """Moves the weights of `average` towards those of `network`: a running average (Yazici et al. 2019).

    iteration: how many are done. At the start the average is shorter: it should forget the untrained weights.
    """
    done = tf.cast(iteration, tf.float32)
    keep = tf.minimum(DECAY, (1.0 + done) / (10.0 + done))
    for mean, variable in zip(average.variables, network.variables, strict=True):
        mean.assign(keep * mean.value + (1.0 - keep) * variable.value)


def copy_weights(networks):
    """Variables that hold the weights of networks, for look_back."""
    return [tf.Variable(weight.value) for network in networks for weight in network.trainable_variables]


def look_back(networks, slow, is_time):
    """Lookahead-minimax (Chavdarova et al. 2021): if it is time, the weights go back by half of their way.

    slow: variables that hold where the way began, see copy_weights. A step back towards there cuts across the circle.
    """
    weights = [weight for network in networks for weight in network.trainable_variables]
    for weight, start in zip(weights, slow, strict=True):
        middle = (weight.value + start) / 2.0
        weight.assign(tf.where(is_time, middle, weight.value))
        start.assign(tf.where(is_time, middle, start))
