class Sdqctl < Formula
  desc "Scripted workflows in named, persistent coding-agent sessions"
  homepage "https://github.com/@REPOSITORY@"
  url "https://github.com/@REPOSITORY@/releases/download/v@VERSION@/sdqctl-@VERSION@.tar.gz"
  sha256 "@SHA256@"
  license "MIT"

  depends_on "git"
  depends_on "python@3.13"

  def install
    system Formula["python@3.13"].opt_bin/"python3.13", "-m", "venv", libexec
    # The versions that are known to work together, from the index that pip is set up for.
    system libexec/"bin/python", "-m", "pip", "install", "--constraint", "constraints.txt", "#{buildpath}[acp,age,mcp,ui]"
    bin.install_symlink libexec/"bin/sdqctl"
    generate_completions_from_executable(bin/"sdqctl", "completion")
  end

  def caveats
    <<~EOS
      The Copilot runtime comes by itself: npm install -g @github/copilot
      What is here and what is missing: sdqctl doctor
    EOS
  end

  test do
    (testpath/"a.conv").write <<~EOS
      ADAPTER mock
      PROMPT Does it work? [[reply: It does.]]
    EOS
    ENV["SDQCTL_HOME"] = testpath/"data"
    assert_match "It does.", shell_output("#{bin}/sdqctl run a.conv")
    assert_match version.to_s, shell_output("#{bin}/sdqctl --version")
  end
end
