"""What the stages and the app share: one module a concept."""

import warnings

# fastai 2.8.12 scripts a layer while it is imported, which torch 2.14 announces to be deprecated. Nothing here uses it.
warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated", category=FutureWarning)
