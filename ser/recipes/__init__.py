"""Recipes: one small file for each named system, all of whose values the command line can override."""

import importlib
import pkgutil
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace

from ser.models.configuration_ser import SERConfig

DEFAULT_RECIPE = "flagship-distilled"  # what `python train.py` trains
FINE_TUNING = "fine-tuning"  # the variant that needs a trained model


@dataclass(frozen=True)
class Source:
    """The class project that a recipe follows.

    Args:
        project: Its letter in `docs/projects.md`.
        accuracy: On the test clips, as printed by its authors, if they do.
        f1: Likewise.
        train_accuracy: Likewise.
        val_accuracy: Likewise.
        confused: The pair of emotions that they name as most confused, if they do.
        chosen_here: Choices that the source leaves open.
        deviations: Where the recipe differs from the source, and why.
        explained: Why the score here is lower than the printed one, if a run shows it.
    """

    project: str
    accuracy: float | None = None
    f1: float | None = None
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    confused: tuple[str, str] | None = None
    chosen_here: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    explained: str = ""


@dataclass(frozen=True)
class Recipe:
    """A system with a name.

    Args:
        config_class: Says which network.
        model: Fields of its configuration.
        feature_extractor: Arguments of `SERFeatureExtractor`.
        inference_overrides: Those that change after training, for evaluation and for users of the model.
        augmentation: Fields of `AugmentationArguments`.
        training: Fields of `SERTrainingArguments`.
        data: Fields of `DataArguments`: another corpus than CREMA-D, or training on the dev split as well.
        variants: Named changes to the recipe: by name, the changed fields of the arguments above.
        budget_without_gpu: Arguments with which `ser reproduce` shortens a run that would take days on two CPU cores.
        source: The class project that it follows, if any.
        chosen_with: Other corpora, and conditions of `ser robustness`, whose scores were known when the recipe was
            chosen, and which are not independent tests of it.
    """

    config_class: type[SERConfig]
    model: dict = field(default_factory=dict)
    feature_extractor: dict = field(default_factory=dict)
    inference_overrides: dict = field(default_factory=dict)
    augmentation: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    data: dict = field(default_factory=dict)
    variants: dict[str, dict[str, dict]] = field(default_factory=dict)
    budget_without_gpu: dict = field(default_factory=dict)
    source: Source | None = None
    chosen_with: tuple[str, ...] = ()

    @property
    def corpus(self) -> str:
        """The corpus that it is for."""
        return self.data.get("corpus", "crema-d")

    @property
    def has_teachers(self) -> bool:
        """Whether it learns from teachers by default."""
        return bool(self.training.get("teachers"))


def recipe_names() -> list[str]:
    """Names that `--recipe` takes."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def load_recipe(name: str, variant: str | None = None) -> Recipe:
    """The recipe called `name`, or one of its variants.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in recipe_names():
        raise ValueError(f"expected a recipe out of {', '.join(recipe_names())}; got {name!r}")
    recipe: Recipe = importlib.import_module(f"{__name__}.{name.replace('-', '_')}").RECIPE
    if variant is None:
        return recipe
    if variant not in recipe.variants:
        raise ValueError(f"expected --variant out of {', '.join(recipe.variants) or 'none'} of {name}; got {variant!r}")
    changes = recipe.variants[variant].items()
    return replace(recipe, **{field_name: getattr(recipe, field_name) | new for field_name, new in changes})


__all__ = ["DEFAULT_RECIPE", "FINE_TUNING", "Recipe", "Source", "load_recipe", "recipe_names"]
