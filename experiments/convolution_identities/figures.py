def plot(metrics):
    return {}
