"""The networks of makeNetworkOracles.py as PyTorch modules: only to be exported, never to be differentiated. Widths are arguments."""

import math

import torch
from torch import nn
from torch.nn import functional


class ConvAutoencoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, groups=2), nn.Tanh())
        self.up = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1, groups=2), nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 4, stride=2, padding=1), nn.Sigmoid())

    def forward(self, x):
        return self.up(self.down(x))


class Recurrent(nn.Module):
    """The class after the last step of a recurrence."""

    def __init__(self, kind, size, hidden, classes, **options):
        super().__init__()
        self.r = kind(size, hidden, **options)
        self.f = nn.Linear(hidden * (2 if options.get("bidirectional") else 1), classes)

    def forward(self, x):
        y, _ = self.r(x)
        return self.f(y[:, -1] if self.r.batch_first else y[-1])


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        hidden = inputs * expansion
        self.shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNet(nn.Module):
    def __init__(self, width, expansion, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6())
        self.blocks = nn.Sequential(InvertedResidual(width, width, 1, expansion), InvertedResidual(width, 2 * width, 2, expansion))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * width, classes))

    def forward(self, x):
        return self.classifier(self.blocks(self.stem(x)).mean([2, 3]))


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride, padded):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.c2, self.b2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.padded = padded and outputs - inputs
        self.sc = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs and not padded else None

    def forward(self, x):
        y = self.b2(self.c2(torch.relu(self.b1(self.c1(x)))))
        if self.sc is not None:
            x = self.sc(x)
        elif self.padded:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padded // 2, self.padded - self.padded // 2))
        return torch.relu(y + x)


class ResNet(nn.Module):
    """The ResNets of CIFAR, of 6 blocks + 2 layers; shortcuts by convolutions, or by zeros for the new channels."""

    def __init__(self, width, blocks, classes, padded=False):
        super().__init__()
        self.c, self.b = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        stages = [(width, width, 1)] + [(width, width, 1)] * (blocks - 1)
        for n in (1, 2):
            stages += [(width * 2 ** (n - 1), width * 2**n, 2)] + [(width * 2**n, width * 2**n, 1)] * (blocks - 1)
        self.l = nn.Sequential(*(ResidualBlock(*stage, padded) for stage in stages))
        self.f = nn.Linear(4 * width, classes)

    def forward(self, x):
        y = self.l(torch.relu(self.b(self.c(x))))
        return self.f(functional.adaptive_avg_pool2d(y, 1).flatten(1))


def normalised_mlp(size, hidden, classes):
    return nn.Sequential(
        nn.Linear(size, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, hidden, bias=False), nn.BatchNorm1d(hidden, affine=False), nn.Tanh(),
        nn.Linear(hidden, classes))


def normalised_cnn(width, side, classes):
    return nn.Sequential(
        nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(width, 2 * width, 3), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.Flatten(), nn.Linear(2 * width * (side // 2 - 2) ** 2, classes))


def autoencoder(*sizes):
    """Logistic units, but for a linear code in the middle."""
    layers = []
    for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:])):
        layers += [nn.Linear(inputs, outputs)] + ([] if i + 1 == len(sizes) // 2 else [nn.Sigmoid()])
    return nn.Sequential(*layers)


class Block(nn.Module):
    """Layer norms before attention with a causal mask and before two layers with gelu by tanh."""

    def __init__(self, width, heads, length):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.register_buffer("mask", torch.tril(torch.ones(length, length)).view(1, 1, length, length))

    def forward(self, x):
        batch, length, width = x.size()
        q, k, v = self.c_attn(self.ln_1(x)).split(width, dim=2)
        q, k, v = (one.view(batch, length, self.heads, width // self.heads).transpose(1, 2) for one in (q, k, v))
        scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        scores = scores.masked_fill(self.mask[:, :, :length, :length] == 0, float("-inf"))
        y = (functional.softmax(scores, dim=-1) @ v).transpose(1, 2).contiguous().view(batch, length, width)
        x = x + self.c_proj(y)
        z = self.fc(self.ln_2(x))
        return x + self.proj(0.5 * z * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (z + 0.044715 * torch.pow(z, 3.0)))))


class Gpt(nn.Module):
    """The embedding of the tokens is the last layer's weight too."""

    def __init__(self, vocabulary, width, heads, layers, length):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.h = nn.ModuleList([Block(width, heads, length) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.wte.weight = self.lm_head.weight

    def forward(self, tokens):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.size(1)).unsqueeze(0))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class UNet(nn.Module):
    def __init__(self, width, classes, bilinear):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 2 * width, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True) if bilinear else nn.Upsample(scale_factor=2)
        self.c, self.d = nn.Conv2d(3 * width, width, 3, padding=1), nn.Conv2d(width, classes, 1)
        self.n = nn.GroupNorm(2, 2 * width)

    def forward(self, x):
        a = functional.leaky_relu(self.a(x), 0.1)
        b = functional.silu(self.n(self.b(functional.max_pool2d(a, 2))))
        return self.d(functional.elu(self.c(torch.cat([self.up(b), a], 1))))
