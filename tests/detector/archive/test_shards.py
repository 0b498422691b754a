import pytest

from detector.archive.shards import Shard
from detector.errors import SettingsError


@pytest.mark.parametrize("first", [0, 1])
def test_each_key_has_one_owner_however_shards_are_counted(first):
    shards = [Shard.parse(f"{number}/4") for number in range(first, first + 4)]
    owners = [[shard.index for shard in shards if shard.owns(f"{key:012x}")] for key in range(4000)]
    assert all(len(each) == 1 for each in owners)
    assert all(900 < sum(each == [index] for each in owners) < 1100 for index in range(4))


def test_the_share_is_the_same_in_every_version():
    assert [key for key in range(12) if Shard(1, 3).owns(f"{key:012x}")] == [9, 11]


@pytest.mark.parametrize("text", ["", "1", "5/4", "0/0", "-1/2", "a/b", "1/2/3"])
def test_wrong(text):
    with pytest.raises(SettingsError, match="expected i/n"):
        Shard.parse(text)
