"""Settings under their former names."""

import pickle
import warnings

import pytest

import cytoform as cf
from cytoform.errors import ConfigError


def test_former_names_warn_and_mean_the_same():
    with pytest.warns(DeprecationWarning, match="preconditioning") as caught:
        config = cf.FitConfig(smoothness=(3.0, 2.0, 1.0))
    assert caught[0].filename == __file__
    assert config == cf.FitConfig(preconditioning=(3.0, 2.0, 1.0))
    with pytest.warns(DeprecationWarning, match="smoothness_weight"):
        assert config.stiffness == config.smoothness_weight == (1.0, 10.0, 25.0)
    old = {**config.as_dict(), "stiffness": [2.0, 2.0, 2.0]}
    del old["smoothness_weight"]
    old["place_start"] = not old.pop("align_start")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # stored settings are read without a word
        read = cf.FitConfig.from_dict(old)
    assert read.smoothness_weight == (2.0, 2.0, 2.0) and not read.align_start


def test_pickles_of_earlier_versions_keep_their_values():
    state = {**vars(cf.FitConfig()), "smoothness": (7.0, 7.0, 7.0)}
    del state["preconditioning"]
    config = cf.FitConfig()
    config.__setstate__(state)
    assert config.preconditioning == (7.0, 7.0, 7.0)
    assert pickle.loads(pickle.dumps(config)) == config


def test_both_names_of_a_setting_are_refused():
    with pytest.warns(DeprecationWarning), pytest.raises(ConfigError, match="two names of one setting"):
        cf.FitConfig(smoothness=(1.0, 1.0, 1.0), preconditioning=(1.0, 1.0, 1.0))


def test_an_unknown_attribute_is_refused():
    with pytest.raises(AttributeError, match="colour"):
        cf.FitConfig().colour  # noqa: B018
