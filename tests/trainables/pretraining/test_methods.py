"""Every entry of the table of methods names what is there."""

from typing import get_args

import pytest

from trainables.pretraining.methods import METHODS, MethodName, fields_of_others, imported
from trainables.trial_config import TrialConfig


def test_the_table_has_every_method() -> None:
    assert tuple(METHODS) == get_args(MethodName)


@pytest.mark.parametrize("name", METHODS)
def test_an_entry_names_what_is_there(name: MethodName) -> None:
    method = METHODS[name]
    assert callable(imported(method.loss))
    assert all(path is None or callable(imported(path)) for path in (method.second_network, method.attack_loss))
    assert method.second_network is not None or not method.has_teacher
    own = {*method.fields, *method.network_fields}
    assert own <= set(TrialConfig.model_fields) and not own & set(fields_of_others(name))


def test_a_field_of_a_method_is_of_no_effect_in_others() -> None:
    assert set(fields_of_others("simclr")) >= {"barlow_lambda", "byol_momentum", "predictor_hidden_dim"}
    assert "projector_dim" in fields_of_others("supervised") and "projector_dim" not in fields_of_others("byol")
