"""Files as programs write them, read as a second library reads them or refused by their kind."""

import pytest

from benchmarks.variants import Variant, outcome, variants


@pytest.mark.parametrize("variant", variants(), ids=lambda variant: variant.name)
def test_a_file_is_read_as_another_library_reads_it_or_refused_by_its_kind(
    variant: Variant,
) -> None:
    right, words = outcome(variant)
    assert right, words
