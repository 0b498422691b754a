import pytest

from benchmarks import report
from benchmarks.frontier import middle
from benchmarks.networks import generate
from convert.cfg import read_cfg
from convert.network import plan


@pytest.fixture
def page(tmp_path):
    return tmp_path / "performance.md"


def test_a_section_is_written_anew_and_the_rest_stays(page):
    page.write_text("# Speed\nby hand\n")
    report.put("one", r"first \1", page=page)
    report.put("two", "second", page=page)
    report.put("one", "third", page=page)

    assert page.read_text() == (
        "# Speed\nby hand\n\n<!-- one -->\nthird\n<!-- /one -->\n\n<!-- two -->\nsecond\n<!-- /two -->\n"
    )


def test_a_page_that_is_missing_is_begun(page):
    report.put("one", "first", page=page)

    assert page.read_text().startswith("# ")


def test_a_table_is_markdown():
    assert report.table(("a", "b"), [("x", 1)]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


@pytest.mark.parametrize(
    ("size", "part"), [((640, 480), (0, 60, 640, 360)), ((1000, 450), (100, 0, 800, 450)), ((160, 90), (0, 0, 160, 90))]
)
def test_the_middle_is_16_to_9(size, part):
    assert middle(*size) == part


def test_generated_weights_fit_their_cfg(tmp_path):
    (tmp_path / "net.cfg").write_text(
        "[net]\nwidth=64\nheight=64\n[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=2\npad=1\n"
        "[convolutional]\nfilters=6\nactivation=linear\n[yolo]\nmask=0\nanchors=9,9\nnum=1\nclasses=1\n"
    )
    network = plan(read_cfg(tmp_path / "net.cfg"))
    generate(network, tmp_path / "net.weights")

    assert (tmp_path / "net.weights").stat().st_size == 20 + 4 * network.parameter_count
