import pytest

from convert.cfg import parse_cfg
from detector.training.schedule import learning_rate, warm_up_steps
from detector.training.settings import TrainSettings

NET = parse_cfg("[net]\nsteps=50,80\nscales=.1,.5\n[cost]\n").net


@pytest.mark.parametrize(
    ("schedule", "step", "wanted"),
    [
        ("cosine", 0, 0.1),
        ("cosine", 4, 0.5),
        ("cosine", 10, 1.0),
        ("cosine", 55, 0.55),
        ("cosine", 100, 0.1),
        ("cosine", 150, 0.1),
        ("darknet", 4, 0.5),
        ("darknet", 49, 1.0),
        ("darknet", 50, 0.1),
        ("darknet", 80, 0.05),
    ],
)
def test_rate_at_a_step(schedule, step, wanted):
    settings = TrainSettings(learning_rate=1.0, warm_up=10, final_rate=0.1, schedule=schedule)

    assert learning_rate(step, 100, settings, NET) == pytest.approx(wanted)


@pytest.mark.parametrize(("steps", "wanted"), [(1000, 50), (240, 24), (9, 0)])
def test_the_warm_up_is_at_most_a_tenth_of_a_training(steps, wanted):
    settings = TrainSettings(warm_up=50, learning_rate=1.0)

    assert warm_up_steps(steps, settings) == wanted
    assert learning_rate(wanted, steps, settings, NET) == pytest.approx(1.0)
