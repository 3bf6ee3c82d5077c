"""The decoder's shapes, and that it reads what it is given."""

import torch

from laspa.models.decoder import Decoder


def test_the_decoder_rebuilds_the_asked_number_of_frames_from_all_its_inputs():
    torch.manual_seed(0)
    decoder = Decoder(embedding_dim=6, frame_dim=5, content_dim=2, hidden_dim=8, num_mels=20, stride=4)
    inputs = [torch.randn(3, 6, requires_grad=True), torch.randn(3, 6, requires_grad=True)]
    frames = torch.randn(3, 11, 5, requires_grad=True)
    mel = decoder(*inputs, frames, 41)
    assert mel.shape == (3, 41, 20)
    mel.sum().backward()
    assert all(float(x.grad.abs().sum()) > 0 for x in (*inputs, frames))


def test_without_content_it_does_not_read_the_frames():
    decoder = Decoder(6, 5, content_dim=0, hidden_dim=8, num_mels=20, stride=4)
    speaker, language = torch.randn(3, 6), torch.randn(3, 6)
    a, b = (decoder(speaker, language, torch.randn(3, 11, 5), 44) for _ in range(2))
    torch.testing.assert_close(a, b)
