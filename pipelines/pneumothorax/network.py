"""The network: a slim U-Net with a presence head."""

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn

DECODER_CHANNELS = (96, 64, 32, 16, 8)
FROZEN_STAGES = 4
"""The encoder's layers down to a quarter of the size keep what ImageNet taught."""


class PneumothoraxNet(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """MobileNetV2 U-Net; the mask comes at half size and is smoothed up.

    Input (N, 1, H, W), values about -1..1, H and W multiples of 32. Output:
    mask logits (N, 1, H, W) and presence logits (N, 1 + auxiliary).
    """

    def __init__(self, auxiliary: int) -> None:
        super().__init__()
        unet = smp.Unet(
            "mobilenet_v2",
            encoder_weights=None,
            in_channels=1,
            classes=1,
            decoder_channels=DECODER_CHANNELS,
        )
        self.encoder = unet.encoder
        self.decoder = unet.decoder
        # The last block would work at full size: it costs as much as the rest
        # of the decoder and adds nothing that bilinear interpolation does not.
        self.decoder.blocks = self.decoder.blocks[:-1]
        self.mask_head = nn.Conv2d(DECODER_CHANNELS[-2], 1, 3, padding=1)
        self.dropout = nn.Dropout(0.3)
        self.presence_head = nn.Linear(2 * self.encoder.out_channels[-1], 1 + auxiliary)
        for stage in self.encoder.features[:FROZEN_STAGES]:
            stage.requires_grad_(False)

    def train(self, mode: bool = True) -> "PneumothoraxNet":
        """Switch mode; frozen stages keep their batch statistics."""
        super().train(mode)
        for stage in self.encoder.features[:FROZEN_STAGES]:
            stage.eval()
        return self

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Give mask logits and presence logits."""
        features = self.encoder(image)
        half = self.mask_head(self.decoder(features))
        mask = nn.functional.interpolate(half, scale_factor=2.0, mode="bilinear")
        deepest = features[-1]
        pooled = torch.cat([deepest.mean(dim=(2, 3)), deepest.amax(dim=(2, 3))], dim=1)
        return mask, self.presence_head(self.dropout(pooled))


class ServedNet(nn.Module):  # type: ignore[misc]  # torch is not installed for type checks
    """What is exported: mask probabilities and the presence logit.

    `mix` says how much the presence listens to the mask (`evidence`).
    """

    def __init__(self, network: PneumothoraxNet, mix: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mix", torch.tensor(mix))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Give `mask` (N, 1, H, W) in 0..1 and `presence` (N, 1), a logit."""
        mask, presence = self.network(image)
        return mask.sigmoid(), presence[:, :1] + self.mix * evidence(mask)


def evidence(mask: Tensor) -> Tensor:
    """Sum up a mask's odds over the film, (N, 1) as a logarithm; mask (N, 1, H, W) of logits.

    Large and sure masks speak loudest; at a quarter of the resolution, where one
    cell is no noise.
    """
    return nn.functional.avg_pool2d(mask, 4).flatten(1).logsumexp(dim=1, keepdim=True)
