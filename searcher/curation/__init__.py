"""What people have set about the catalogue, and how it changes answers: banks, exceptions, actions."""
