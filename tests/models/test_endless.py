"""Writing beyond the context (R4.2): what is read again gives what reading afresh gives."""

import groundup as gu
from groundup.models import GPT, GPTConfig, LSTMConfig, LSTMLanguageModel
from groundup.models.decoding import RecurrentDecoder, Sampling, SlidingDecoder, generate


def gpt(positions="learned"):
    gu.manual_seed(0)
    model = GPT(
        GPTConfig(11, context=8, d_model=16, num_layers=1, num_heads=2, positions=positions)
    )
    with gu.no_grad():
        for p in model.parameters():  # larger weights: the choices are not all alike
            p.assign(p * 8)
    return model


def sliding_by_hand(model, text, count):
    """Greedy, without a cache: the window grows to the context, then falls to its half."""
    window, new = list(text)[-8:], []
    with gu.no_grad():
        while len(new) < count:
            new.append(int(model(gu.tensor([window]))[0, -1].argmax().item()))
            window = [*window, new[-1]] if len(window) < 8 else [*window, new[-1]][-4:]
    return new


def test_a_context_that_is_full_falls_to_its_half():
    model = gpt()
    prompt = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert generate(SlidingDecoder(model), [prompt], 20)[0] == sliding_by_hand(model, prompt, 20)
    assert generate(SlidingDecoder(model), [[3]], 20)[0] == sliding_by_hand(model, [3], 20)


def test_a_recurrent_network_writes_what_it_would_after_reading_all_again():
    gu.manual_seed(1)
    model = LSTMLanguageModel(LSTMConfig(11, 8, 16))
    written = generate(RecurrentDecoder(model), [[1, 2, 3], [4]], 12)
    for prompt, new in zip(([1, 2, 3], [4]), written, strict=True):
        text = prompt + new
        with gu.no_grad():
            again = model(gu.tensor([text[:-1]]))[0].argmax(dim=-1).tolist()
        assert again[len(prompt) - 1 :] == new


def test_the_same_seed_writes_the_same():
    texts = [
        generate(SlidingDecoder(gpt("rotary")), [[1]], 30, Sampling(), generator=gu.Generator(seed))
        for seed in (3, 3, 4)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_rows_may_be_chosen():
    model = gpt()
    decoder = SlidingDecoder(model)
    decoder.read([[1, 2], [3, 4]])
    decoder.step([5, 6])
    decoder.select([1])
    chosen = decoder.step([7])
    with gu.no_grad():
        whole = model(gu.tensor([[3, 4, 6, 7]]))[:, -1]
    assert gu.allclose(chosen, whole, atol=1e-4)
