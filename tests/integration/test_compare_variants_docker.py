"""compare-variants that acts: the challenger beside the champion, on a real Docker engine."""

import pytest
from tests.acceptance.test_compare_variants import run_test
from tests.integration.test_deploy import Shop, a_shop  # noqa: F401 - a fixture
from tests.targets.docker_service import the_images  # noqa: F401 - a fixture

pytestmark = pytest.mark.docker


def test_a_worse_challenger_is_taken_away_and_a_better_one_promoted_once(shop: Shop) -> None:
    shop.project.configure(
        compare_variants={
            "predictions": "log", "outcomes": "labels.csv", "metric": "error", "act": True, "environment": "staging"
        }
    )  # fmt: skip
    shop.make("one")
    assert shop("deploy").code == 0
    shop.make("two")
    assert shop("deploy", "--weight", "50").code == 0
    assert shop.serves("staging") == {"1": 50, "2": 50}

    served = {"champion": "1", "challenger": "2"}
    run_test(shop.project.root, users=60, versions=served)
    undecided = ("--set", "compare-variants.act=false", "--set", "promote.to=staging")
    answer = shop("run", "--stages", "compare-variants,promote", *undecided)
    assert answer.code == 3, answer.text
    assert "compare-variants: it decided: keep running" in answer.out
    assert shop.serves("staging") == {"1": 50, "2": 50}

    run_test(shop.project.root, better=-0.15, versions=served)
    answer = shop("compare-variants")
    assert answer.code == 3, answer.text
    assert shop.section("compare-variants")["act"]["carried_out"] is True
    assert shop.serves("staging") == {"1": 100}
    answer = shop("compare-variants")
    assert "serves no challenger now" in answer.out
    assert shop.actions("staging") == ["deploy", "deploy", "rollback"], "and nothing older is brought back"

    shop.make("two")
    assert shop("deploy", "--weight", "50").code == 0
    run_test(shop.project.root, better=0.15, versions=served)
    answer = shop("compare-variants")
    assert answer.code == 3, answer.text
    assert "version 2 was tried, and version 3 serves as the challenger now" in answer.out
    run_test(shop.project.root, better=0.15, versions=served | {"challenger": "3"})
    answer = shop("compare-variants")
    assert answer.code == 0, answer.text
    assert shop.serves("staging") == {"3": 100}
    assert shop("compare-variants").code == 0
    assert shop.actions("staging") == ["deploy", "deploy", "rollback", "deploy", "promote"]
