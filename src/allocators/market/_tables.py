"""Tables of the market: its buckets, the cohorts of its viewers, its hours."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Share = Annotated[float, Field(gt=0.0, le=1.0)]
_Factor = Annotated[float, Field(gt=0.0, le=1e3)]
_Shift = Annotated[float, Field(ge=-5.0, le=5.0)]


class Bucket(BaseModel):
    """A category, language and region."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description='such as "music/zh/cn"; assumption')
    share: _Share = Field(description="share of streamers; assumption")
    click_shift: _Shift = Field(0.0, description="on the logit of the click rate; assumption")
    watch_shift: _Shift = Field(0.0, description="on the logarithm of watch time; assumption")


class Cohort(BaseModel):
    """A kind of viewer. Factors are relative: their mean over viewers is made 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="name of the cohort; assumption")
    share: _Share = Field(description="share of viewers over the day; assumption")
    peak: Annotated[float, Field(ge=0.0, lt=24.0)] = Field(20.0, description="hour of the largest share; assumption")
    swing: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="relative size of the daily wave of the share; assumption"
    )
    clicks: _Factor = Field(1.0, description="factor on clicks; assumption")
    negative: _Factor = Field(1.0, description="factor on negative feedback; assumption")
    comments: _Factor = Field(1.0, description="factor on comments a click; assumption")
    follows: _Factor = Field(1.0, description="factor on follows a retained viewer; assumption")
    gifts: _Factor = Field(1.0, description="factor on gifts a click; assumption")


def _buckets() -> tuple[Bucket, ...]:
    categories = (("chat", 0.35, 0.05, 0.0), ("music", 0.25, 0.1, 0.05), ("games", 0.25, -0.1, 0.1),
                  ("outdoor", 0.15, -0.1, -0.25))  # fmt: skip
    regions = (("zh/cn", 0.6), ("en/us", 0.25), ("id/id", 0.15))
    return tuple(
        Bucket(name=f"{category}/{region}", share=share * part, click_shift=click, watch_shift=watch)
        for category, share, click, watch in categories
        for region, part in regions
    )


BUCKETS = _buckets()
COHORTS = (
    Cohort(name="pay_high", share=0.05, peak=21.5, swing=0.4, clicks=1.05, negative=0.8, comments=1.3, gifts=6.0),
    Cohort(name="social", share=0.30, peak=20.5, swing=0.2, comments=1.8, follows=1.3),
    Cohort(name="content", share=0.45, peak=13.0, swing=0.1, comments=0.6, gifts=0.6),
    Cohort(name="new", share=0.20, peak=12.0, swing=0.3, clicks=0.95, negative=1.5, follows=0.8, gifts=0.3),
)
HOURS = (
    0.70, 0.45, 0.30, 0.22, 0.20, 0.25, 0.40, 0.60, 0.75, 0.85, 0.95, 1.15,
    1.50, 1.20, 1.00, 0.95, 0.95, 1.00, 1.15, 1.45, 1.90, 2.00, 1.55, 1.05,
)  # fmt: skip
