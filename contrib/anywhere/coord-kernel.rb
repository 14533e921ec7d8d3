# The form of a Homebrew formula: `make pyz`, publish coord.pyz, fill in url and sha256.
class CoordKernel < Formula
  desc "Five small UNIX tools for programs that work together"
  homepage "https://example.org/coord"
  url "https://example.org/coord-0.1.0.pyz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "MIT"
  depends_on "git"
  depends_on "python@3.13"

  def install
    libexec.install Dir["*.pyz"].first => "coord.pyz"
    chmod 0755, libexec/"coord.pyz"
    system Formula["python@3.13"].opt_bin/"python3.13", libexec/"coord.pyz", "link", bin
  end

  test do
    system "git", "init", "--quiet", "."
    system bin/"ev", "init"
    assert_match "a title", shell_output("COORD_AGENT=brew #{bin}/wk new 'a title'")
  end
end
